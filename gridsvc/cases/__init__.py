"""What a case is: its stages and moves, clocks, routing. Pure; time is an argument."""
