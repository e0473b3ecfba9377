"""The pictures: ``python -m figures`` draws all of them from the tables of `paper_repro`. No physics here."""
