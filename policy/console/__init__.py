"""What pages for people share, and the page of people and keys."""
