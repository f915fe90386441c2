"""With what: settings, errors, session storage, file and web access."""
