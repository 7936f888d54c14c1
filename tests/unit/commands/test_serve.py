"""``gc-warm serve``: what it prints of what others send."""

from gc_warm.commands.serve import _show


def test_a_path_that_a_terminal_would_obey_is_shown_by_its_codes(capsys):
    _show("GET", "/v2/\x1b[2J\nforged", 404)
    assert "/v2/\\x1b[2J\\nforged" in capsys.readouterr().out
