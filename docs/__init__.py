"""What makes the pages and pictures of this folder."""
