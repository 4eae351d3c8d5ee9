"""What outlives FSServer: its persistent monitors, and what each client knows.

Rule: what stands in the record has been heard by the client; what was being told stands beside it.

``record`` has the monitors, ``picture`` what one client knows, ``sent`` what was being told,
``writer`` is the thread that writes, ``file`` the file's shape.
"""
