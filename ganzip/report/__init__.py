"""What is made of rows: tables, claims, figures and pages, and how notebooks show them."""
