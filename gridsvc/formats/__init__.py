"""Files in and out. Datum must be declared; every bad row is listed; nothing is guessed."""
