"""What the pages say in numbers, a module for each page: every number beside the cell it comes from."""
