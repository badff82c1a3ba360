{# Lists the synapses at which spikes arrive in the replayed step, in their order, and puts what was
   recorded just before where the code reads it. With `whole` all synapses are listed. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{% extends 'common_synapses.cpp' %}

{% block extra_headers %}
{{ super() }}
#include <algorithm>
{% endblock %}

{% block maincode %}
    {% set first = get_array_name(variables['__first']) %}
    {% set order = get_array_name(variables['__order']) %}
    {% set arriving = get_array_name(variables['__arriving']) %}
    {% set arrived = get_array_name(variables['__arrived']) %}
    const int32_t _N = {{constant_or_scalar('N', variables['N'])}};
    int32_t _found = 0;
    std::fill_n({{arrived}}, _N, 0);
    if ({{__replayed_step}} >= {{__window_start}})
    {
        {% for past, kept_past, n in replayed %}
        std::copy_n({{get_array_name(kept_past)}} + (size_t)({{__replayed_step}} % {{rows}}) * {{n}}, {{n}}, {{get_array_name(past)}});
        {% endfor %}
        {% for variable in ones %}
        std::fill_n({{get_array_name(variable)}}, {{n_target}}, 1);
        {% endfor %}
        for (int32_t _delay=std::min<int64_t>({{reach}}, {{__replayed_step}} - {{__window_start}}); _delay>=0; _delay--)
        {
            const int32_t *_fired = {{get_array_name(kept)}} + (size_t)(({{__replayed_step}} - _delay) % {{rows}}) * ({{n_source}} + 1);
            for (int32_t _spike=0; _spike<_fired[{{n_source}}]; _spike++)
            {
                const size_t _key = (size_t)({{reach}} - _delay) * {{n_source}} + _fired[_spike];
                for (int32_t _place={{first}}[_key]; _place<{{first}}[_key + 1]; _place++)
                {
                    {{arriving}}[_found++] = {{order}}[_place];
                    {{arrived}}[{{order}}[_place]] = 1;
                }
            }
        }
        {% if whole %}
        std::copy_n({{order}}, _N, {{arriving}});
        _found = _N;
        {% endif %}
    }
    {{arriving}}[_N] = _found;
{% endblock %}
