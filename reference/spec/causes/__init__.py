"""What a mistake is likely to be: looked for once there is a finding, and for that one only."""
