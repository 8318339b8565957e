"""The web side: one noun per app, no GPU stack. A lower app never imports a higher one."""
