{# Lists the synapses at which spikes arrive in the replayed step, in their order, and puts what was
   recorded just before where the code reads it. With `whole` all synapses are listed. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set first = get_array_name(variables['__first']) %}
    {% set order = get_array_name(variables['__order']) %}
    {% set arriving = get_array_name(variables['__arriving']) %}
    {% set arrived = get_array_name(variables['__arrived']) %}
    cdef int32_t _delay, _source, _key, _found = 0
    cdef size_t _row, _spike, _place
    for _place in range({{N}}):
        {{arrived}}[_place] = 0
    if {{__replayed_step}} >= {{__window_start}}:
        {% for past, kept_past, n in replayed %}
        for _place in range({{n}}):
            {{get_array_name(past)}}[_place] = {{get_array_name(kept_past)}}[({{__replayed_step}} % {{rows}}) * {{n}} + _place]
        {% endfor %}
        {% for variable in ones %}
        for _place in range(_num{{get_array_name(variable)}}):
            {{get_array_name(variable)}}[_place] = 1
        {% endfor %}
        for _delay in range(min({{reach}}, <int32_t>({{__replayed_step}} - {{__window_start}})), -1, -1):
            _row = (({{__replayed_step}} - _delay) % {{rows}}) * ({{n_source}} + 1)
            for _spike in range({{get_array_name(kept)}}[_row + {{n_source}}]):
                _source = {{get_array_name(kept)}}[_row + _spike]
                _key = ({{reach}} - _delay) * {{n_source}} + _source
                for _place in range({{first}}[_key], {{first}}[_key + 1]):
                    {{arriving}}[_found] = {{order}}[_place]
                    {{arrived}}[{{order}}[_place]] = 1
                    _found += 1
        {% if whole %}
        for _place in range({{N}}):
            {{arriving}}[_place] = {{order}}[_place]
        _found = {{N}}
        {% endif %}
    {{arriving}}[{{N}}] = _found
{% endblock %}
