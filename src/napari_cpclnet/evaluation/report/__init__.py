"""What an evaluation writes: summary, tables, figures, pictures and the page that shows them."""
