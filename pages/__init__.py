"""Pages: what every report is made of. Untrusted text, tables, figures, the frame around them."""
