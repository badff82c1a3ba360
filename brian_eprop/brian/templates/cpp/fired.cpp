{# Brian2's template `threshold` as two loops: the condition for all neurons, which compilers
   vectorize, or a row of a raster; then the few that fire are looked for, eight at a time: as a
   number, of which each that fires is the lowest bit of a byte, the first one the lowest byte. #}
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
        uint64_t _some = 0;
        std::memcpy(&_some, _fires + _first, _first + 8 < (int32_t)N ? 8 : (int32_t)N - _first);
        for (; _some != 0; _some&=_some-1)
        {
            const int32_t _idx = _first + __builtin_ctzll(_some)/8;
            {{_eventspace}}[_count++] = _idx;
            {% if _uses_refractory %}
            {{not_refractory}}[_idx] = false;
            {{lastspike}}[_idx] = {{t}};
            {% endif %}
        }
    }
    {{_eventspace}}[N] = _count;
{% endblock %}
