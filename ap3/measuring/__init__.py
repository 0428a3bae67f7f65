"""AP2, AP3 and their rivals beside the performance difference, and the theory's bounds."""
