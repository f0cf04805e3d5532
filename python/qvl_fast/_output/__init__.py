"""How results leave: the memory of rows, and the form in which it is handed out."""
