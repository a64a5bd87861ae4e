"""RegNet: one-shot nonrigid 3D registration of chest CT, room by room (see the README's architecture section)."""
