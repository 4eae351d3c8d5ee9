"""A real browser, without a screen: Debian's chromium, driven by selenium."""

from __future__ import annotations

import shutil
from typing import Any

# s for a page to be loaded: for a browser that hangs.  One that shares two processors with six
# processes of tests has taken more than 30 s.
PATIENCE = 120


def opened(width: int, height: int = 900, *, dark: bool = False) -> Any:
    """A browser whose page is `width` px wide.  Whoever opens it quits it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # its own, which wants rights that a container does not give
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    resize(driver, width, height)
    if dark:
        colours(driver, dark=True)
    return driver


def colours(driver: Any, *, dark: bool, forced: bool = False) -> None:
    """Makes the browser want dark colours, or light ones; `forced`: the few of the system."""
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "forced-colors", "value": "active" if forced else "none"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def resize(driver: Any, width: int, height: int = 900) -> None:
    """Makes the page `width` px wide; a window of chromium would be 500 px at least."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def log_in(driver: Any, address: str, user: str, password: str) -> None:
    """Logs in to OMERO.web at `address`, and is then at the page My drops."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get(f"{address}/webclient/login/?url=/omero_fs_web/")
    driver.find_element(By.NAME, "username").send_keys(user)
    driver.find_element(By.NAME, "password").send_keys(password)
    driver.find_element(By.NAME, "password").submit()
    WebDriverWait(driver, PATIENCE).until(lambda one: "/omero_fs_web/" in one.current_url[:60])
    WebDriverWait(driver, PATIENCE).until(lambda one: "My drops" in one.title)
