{# At the end of a window, the steps of the past are run through from last to first. #}
{# USES_VARIABLES { t_in_timesteps, trial_step, __window_ends, __window_start, __replayed_step } #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
#include <algorithm>
{% for code in begin + step + finish %}
#include "code_objects/{{code.name}}.h"
{% endfor %}
{% endblock %}

{% block maincode %}
    if ({{__window_ends}})
    {
        const int64_t _now = {{t_in_timesteps}};
        const int64_t _first = std::max<int64_t>({{__window_start}} - {{tail}}, _now - {{trial_step}});
        {% for code in begin %}
        _run_{{code.name}}();
        {% endfor %}
        for (int64_t _step=_now; _step>=_first; _step--)
        {
            {{__replayed_step}} = _step;
            {% for code in step %}
            _run_{{code.name}}();
            {% endfor %}
        }
        {% for code in finish %}
        _run_{{code.name}}();
        {% endfor %}
        {{__window_start}} = _now + 1;
    }
{% endblock %}
