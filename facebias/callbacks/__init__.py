"""Lightning callbacks: hooks that join the rooms, no logic of their own."""
