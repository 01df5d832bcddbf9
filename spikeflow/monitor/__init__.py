"""What people look at while a graph runs: figures a second, and the terminal view in a process of its own."""
