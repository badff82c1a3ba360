{# The begin of templates that pass over synapses row by row: see rows.cpp. #}
{% extends 'common_synapses.cpp' %}
{% from 'rows.cpp' import declare_rows with context %}

{% block extra_headers %}
{{ super() }}
#include <algorithm>
#include <cstdint>
#include <numeric>
{{declare_rows(synapses)}}
{% endblock %}
