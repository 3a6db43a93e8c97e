"""What the admin's forms do to tools."""
