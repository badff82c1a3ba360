{# Brian2's template `threshold` as two loops: the condition for all neurons, which compilers
   vectorize, or a row of a raster; then the few that fire are looked for, eight at a time. #}
{# USES_VARIABLES { N } #}
{% extends 'threshold.cpp' %}

{% block extra_headers %}
#include <cstdint>
#include <cstring>
{% endblock %}

{% block maincode %}
    {% set _eventspace = get_array_name(eventspace_variable) %}
    {% if kept_row %}
    const char *_fires = {{get_array_name(kept_row)}} + (size_t){{t_in_timesteps}} * N;
    {% else %}
    static char _fires[N];
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    for (int _idx=0; _idx<(int)N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
        _fires[_idx] = _cond;
    }
    {% endif %}
    int32_t _count = 0;
    for (int32_t _first=0; _first<(int32_t)N; _first+=8)
    {
        const int32_t _last = _first + 8 < (int32_t)N ? _first + 8 : (int32_t)N;
        uint64_t _any = 1;
        if (_last - _first == 8)
            std::memcpy(&_any, _fires + _first, 8);
        for (int32_t _idx=_first; _any != 0 && _idx<_last; _idx++)
            if (_fires[_idx])
            {
                {{_eventspace}}[_count++] = _idx;
                {% if _uses_refractory %}
                {{not_refractory}}[_idx] = false;
                {{lastspike}}[_idx] = {{t}};
                {% endif %}
            }
    }
    {{_eventspace}}[N] = _count;
{% endblock %}
