{# An update, in the steps in which it is due. Ends the program if numbers are not finite. #}
{# USES_VARIABLES { N, t, __updates } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
{{ super() }}
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace {

// By its bits: compilers may take for granted (-ffast-math) that all numbers are finite
template <typename T> void require_finite(const T *values, size_t n, const char *name,
                                          const char *when, double update, double t)
{
    for (size_t i=0; i<n; i++)
    {
        const double value = values[i];
        uint64_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        if ((bits >> 52 & 0x7ff) == 0x7ff)
        {
            std::cerr << "learning has diverged: " << name << "[" << i << "] is not finite " << when
                      << " update " << update << " (t = " << t << " s); {{remedy}}" << std::endl;
            std::exit(1);
        }
    }
}

}
{% endblock %}

{% block maincode %}
    if ({{get_array_name(gate)}}[0])
    {
        {% for variable in gradients %}
        require_finite({{get_array_name(variable)}}, _num{{variable.name}}, "{{of}}.{{variable.name}}", "before", {{__updates}}, {{t}});
        {% endfor %}
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        const int _N = {{constant_or_scalar('N', variables['N'])}};
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
        }
        {% for variable in values %}
        require_finite({{get_array_name(variable)}}, _num{{variable.name}}, "{{of}}.{{variable.name}}", "after", {{__updates}}, {{t}});
        {% endfor %}
    }
{% endblock %}
