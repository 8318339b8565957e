"""What a person sees when any one process of the site is killed."""
