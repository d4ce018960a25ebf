"""What runs in the isolated processes, most of it beside hostile code, which may overwrite it: nothing here is believed."""
