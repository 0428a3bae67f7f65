"""The stand-in for a card is of a process of its own: pytest, looking for doctests, imports it not."""

collect_ignore = ["stand_in_card.py", "on_a_card.py"]
