"""Report of an evaluation: summary, tables, figures, pictures and the page that shows them."""
