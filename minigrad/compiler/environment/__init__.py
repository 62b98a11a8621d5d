"""What a function reads and sets outside its arguments, and what that means for its signature."""
