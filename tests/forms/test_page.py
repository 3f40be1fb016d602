"""The page about models shows the forms that the tests try."""

from forms import page, table


def test_the_page_has_the_table_of_today():
    text = page.PAGE.read_text()
    assert text == page.expected(text), "run PYTHONPATH=tests/support python -m forms.page"


def test_there_are_enough_forms_and_nine_of_ten_are_audited():
    assert len({form.name for form in table.FORMS}) == len(table.FORMS) >= 70
    audited = sum(not form.refused for form in table.FORMS)
    assert audited >= 0.9 * len(table.FORMS)
