"""Pages from Django's template language: inheritance, loops, filters, macros by inclusion."""

import django
from django.conf import settings
from django.template import Context, Engine

settings.configure(USE_I18N=False, USE_TZ=False)
django.setup()
PAGES = {
    "base.html": "<html><title>{% block title %}x{% endblock %}</title>{% block body %}{% endblock %}</html>",
    "row.html": "<tr>{% for cell in row %}<td class={% cycle 'a' 'b' 'c' %}>{{ cell|default:'-'|truncatechars:6 }}</td>{% endfor %}</tr>",
    "page.html": """{% extends 'base.html' %}{% block title %}{{ title|upper|escape }}{% endblock %}{% block body %}
{% for row in rows %}{% ifchanged row.0 %}<hr>{% endifchanged %}{% include 'row.html' %}{% if forloop.last %}{{ forloop.counter }}
{% elif row.1 > 50 and not row.2 %}big{% else %}{{ row|length }}{% endif %}{% empty %}none{% endfor %}
{% regroup people by town as towns %}{% for town in towns %}{{ town.grouper }}: {% for p in town.list %}{{ p.name|title }} {{ p.age|add:1 }}
{% endfor %}{% endfor %}{% with total=rows|length %}{{ total }}{{ total|pluralize }}{% endwith %}{{ text|linebreaks|wordwrap:30 }}
{{ missing.thing }}{{ people.0.name|slugify }}{{ 3.14159|floatformat:2 }}{% filter upper %}{{ text|striptags }}{% endfilter %}{% endblock %}""",
}
engine = Engine(loaders=[("django.template.loaders.locmem.Loader", PAGES)])
for turn in range(60):
    people = [{"name": f"n{k} {k * turn}", "age": k, "town": "abc"[k // 7 % 3]} for k in range(20)]
    rows = [[k // 5, k * turn % 99, k % 3, f"<b>{k}</b>", None][: 3 + k % 3] for k in range(25)]
    text = "Some <i>words</i> & others\n\n" * (turn % 4)
    page = engine.get_template("page.html").render(Context({"rows": rows, "people": people, "title": f"<{turn}>", "text": text}))
    if turn % 10 == 9:
        print(page)
    else:
        print(len(page), hash(page) and page.count("<td"))
