"""What changed from one finished run to another: `find.py` finds it, `render_*.py` tell it."""
