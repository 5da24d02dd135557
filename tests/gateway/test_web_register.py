"""The notice as people, a screen reader, a phone and another service meet it."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.reading import Mode
from gateway.web.live import ANSWERS, LEVELS, live
from gateway.web.page import page, paper
from gateway.web.qr import sign
from tests.gateway.source import NOW, Recorded, calm, register, status
from tests.gateway.test_web import asked
from tests.gateway.test_web_page import Reader, hostile

DAY = 86400.0


def shown(state: dict[str, Any], told: dict[str, Any] | None) -> Reader:
    return Reader(page(state, Recorded(state).explain, told))


def busy() -> dict[str, Any]:
    """Return a pole of which there is something to say in every part of the notice."""
    state = status()
    state["switches"][1]["override"] = {
        "state": "off", "who": "ada.byrne", "reason": "the test is over", "until": NOW + 1200.0,
    }  # fmt: skip
    state["rules"][0] |= {"until": NOW + 30 * DAY, "why": "", "shelved": "somebody has shelved it"}
    return state


def test_the_notice_comes_first_and_says_everything() -> None:
    found = shown(busy(), register())
    sections = [attributes["id"] for name, attributes in found.found if name == "section"]
    assert sections[0] == "notice"
    for part in (
        "Does anything act by itself here? Yes. At least one rule acts at once",
        "Gases and dust : to know what people breathe",
        "City of Example, Public realm. Responsible: Head of the public realm",
        "How to object Write to poles@city.example, or call.",
        "1 March 2026 to 29 February 2028",
        "Flood and water management act, section 9 No personal data are processed.",
        "Kept: readings 13 months, decisions 7 years",
        "The duty officer of the water authority answers for the siren.",
        "Acts by itself, until 27 June 2026, 20:26; its announcements are shelved for a while.",
        "it ends on 31 March 2027.",
        "Siren is held off until 28 May 2026, 20:46, because: the test is over",
        "compactor on for 4s (rule compact): it lapses at 28 May 2026, 20:35",
        "28 May 2026, 20:25: Did not switch compactor on for 4s: lid.closed is not known",
        "Known faults River has been lost for 4 min 12 s",
        "2 of 3 records are under the last signed checkpoint, of 28 May 2026, 20:01.",
    ):
        assert part in found.text, part
    notice = found.text.partition("needs attention")[0].partition("things need")[0]
    assert "ada.byrne" not in notice


def test_a_pole_without_a_register_says_that_nobody_filled_it_in() -> None:
    found = shown(status(), None)
    assert "Nobody has filled in the register of this pole yet" in found.text
    assert "Does anything act by itself here?" in found.text
    assert "/register/qr.svg" not in [a.get("href") for _, a in found.found]


def test_a_calm_pole_has_no_empty_parts() -> None:
    state = calm() | {"pending": [], "decisions": []}
    text = shown(state, register()).text
    assert "Known faults None." in text
    assert "Decided last It has decided nothing so far." in text
    for absent in ("Taken over by hand", "Waiting for a person"):
        assert absent not in text


@pytest.mark.parametrize(
    ("modes", "answer"),
    [
        ([], "No. No rule is loaded"),
        (["shadow", "shadow"], "No. Its rules are on trial"),
        (["in", "shadow"], "No. It asks a person first"),
        (["in", "on"], "Yes, unless a person forbids it"),
        (["off", "shadow"], "Yes. At least one rule acts at once"),
    ],
)
def test_whether_anything_acts_by_itself_is_the_word_of_the_rule_that_asks_least(
    modes: list[str], answer: str
) -> None:
    state = status()
    state["rules"] = [state["rules"][0] | {"mode": mode} for mode in modes]
    assert live(state, register(), str)["acts"].startswith(answer)


def test_every_mode_has_its_answer() -> None:
    assert set(LEVELS) == set(Mode)
    assert set(ANSWERS) == {"", *Mode}


def test_an_expired_rule_does_not_act() -> None:
    state = status()
    for rule in state["rules"]:
        rule["phase"] = "expired"
    assert live(state, register(), str)["acts"] == ANSWERS[""]


def test_only_a_mode_above_in_has_an_end() -> None:
    state = busy()
    state["rules"][0]["mode"] = "in"  # it fell back: what was granted counts no more
    rule = live(state, register(), str)["rules"][0]
    assert rule["until"] is None
    state["rules"][0] |= {"mode": "off", "until": None, "grant": {"until": NOW + DAY}}
    assert live(state, register(), str)["rules"][0]["until"] == NOW + DAY


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        (NOW, None),
        (1_835_438_400.0, None),  # 29 February 2028
        (1_835_611_200.0, "This notice ended on 29 February 2028: it must be renewed, or the pole removed."),
        (1_767_225_600.0, "This notice begins only on 1 March 2026."),
    ],
)
def test_a_notice_that_is_not_in_force_says_so_itself(time: float, fault: str | None) -> None:
    faults = live(calm() | {"time": time}, register(), str)["faults"]
    assert [each for each in faults if "notice" in each] == ([fault] if fault else [])


def test_what_is_live_changes_with_the_pole_and_the_file_does_not() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        before = (await client.get("/register")).json()
        source.state["rules"][0]["mode"] = "in"
        source.state["decisions"] = source.state["decisions"][1:]
        after = (await client.get("/register")).json()
        assert (before["live"]["mode"], after["live"]["mode"]) == ("off", "in")
        assert len(after["live"]["decisions"]) == len(before["live"]["decisions"]) - 1
        assert {**before, "live": None} == {**after, "live": None}

    asked(test)


def test_each_record_has_its_address() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for path, output in (
            ("dtpr", "dtpr"),
            ("atrs", "atrs"),
            ("algoritmeregister", "nl"),
            ("sensors", "sensors"),
        ):
            assert (await client.get(f"/register/{path}.json")).json() == {"output": output}
        code = await client.get("/register/qr.svg")
        assert code.headers["content-type"] == "image/svg+xml"
        assert b"https://poles.city.example/harbour-12" in code.content
        source.kept = register() | {"url": None}
        assert (await client.get("/register/qr.svg")).status_code == 404
        source.kept = None
        for path in ("", "/qr.svg", "/dtpr.json", "/sensors.json"):
            answer = await client.get(f"/register{path}")
            assert answer.status_code == 404
            assert "this pole has no register" in answer.json()["error"]
        assert (await client.get("/")).status_code == 200

    asked(test)


def test_the_page_shows_the_qr_code_only_on_request() -> None:
    html = page(status(), str, register())
    assert 'href="/register/qr.svg"' in html
    assert "<image" not in html
    assert "<img" not in html


def test_a_link_that_leads_away_loads_nothing_and_tells_nothing() -> None:
    for name, attributes in shown(busy(), register()).found:
        target = attributes.get("href") or ""
        if target.startswith("http"):
            assert (name, attributes["rel"]) == ("a", "noreferrer")
        assert attributes.get("src") is None


@pytest.mark.parametrize("poison", ["<script>x</script>", "\"'><img src=x onerror=x>", "javascript:alert(1)"])
def test_no_text_of_a_register_becomes_markup(poison: str) -> None:
    told = hostile(register(), poison)
    for key in ("begins", "ends", "language"):
        told[key] = register()[key]
    benign, read = shown(busy(), register()), shown(busy(), told)
    assert [name for name, _ in read.found] == [name for name, _ in benign.found]
    for _, attributes in read.found:
        assert set(attributes) <= {key for _, found in benign.found for key in found}
        assert not (attributes.get("href") or "").startswith("javascript")
    html = sign(told, "https://poles.city.example/x")
    assert "<script>" not in html
    assert "<img" not in html


@pytest.mark.parametrize("told", [register(), None], ids=["told", "untold"])
def test_landmarks_headings_and_ids_guide_a_screen_reader(told: dict[str, Any] | None) -> None:
    found = shown(busy(), told).found
    names = [name for name, _ in found]
    assert (names.count("main"), names.count("h1"), names.count("header")) == (1, 1, 1)
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert levels[:2] == [1, 2]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [attributes.get("aria-label") for name, attributes in found if name == "nav"]
    assert None not in labels
    assert len(labels) == len(set(labels))
    assert all(attributes.get("aria-labelledby", ids[0]) in ids for _, attributes in found)


def test_texts_in_another_language_are_marked_so() -> None:
    told = register() | {"language": "nl"}
    marked = [(name, a["lang"]) for name, a in shown(busy(), told).found if "lang" in a]
    assert marked[0] == ("html", "en")
    assert {name for name, lang in marked if lang == "nl"} == {"h2", "p", "dd"}
    assert ("html", {"lang": "nl"}) in Reader(
        sign(told, "https://x.example").partition("<svg")[0] + END
    ).found


END = "</footer></body></html>"


def test_it_can_be_read_without_scripts_and_never_jumps_by_itself() -> None:
    html = page(busy(), str, register())
    assert "http-equiv" not in html
    still = re.search(r"<noscript>(.*?)</noscript>", html, re.DOTALL)
    assert still
    assert "does not renew itself" in still[1]
    assert "prefers-reduced-motion" in html
    assert "prefers-color-scheme: dark" in html


# In a browser

PROBE = """<script>
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const linear = (p) => p <= .04045 ? p / 12.92 : ((p + .055) / 1.055) ** 2.4;
const light = (c) => {
  const [r, g, b] = c.map((p) => linear(p / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const parts = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
const faint = [], small = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const box = e.getBoundingClientRect();
  if (!own || !box.width || e.closest("noscript,script,svg,[hidden]")) continue;
  const pair = [light(parts(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort();
  const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
  if (ratio < 4.5) faint.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio]);
  if (parseFloat(getComputedStyle(e).fontSize) < 12) small.push(e.tagName);
  if (box.right > innerWidth + 1) small.push(["beyond the edge", e.tagName, e.textContent.slice(0, 30)]);
}
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const said = JSON.stringify({wide, faint, small, dark, width: innerWidth});
parent.postMessage(said, "*");
</script>"""
"""What a browser makes of the page: what sticks out, and what is too faint or too small to read."""

FRAME = """<!DOCTYPE html><title></title>
<script>onmessage = (message) => { document.title = message.data; };</script>
<iframe src="page.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>"""
"""A phone: the browser's own window cannot be so narrow."""

if BROWSER := shutil.which("chromium"):

    @pytest.mark.slow
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.parametrize("what", ["page", "untold", "paper", "sign"])
    def test_a_browser_shows_all_of_it_readably(tmp_path: Path, what: str, width: int, dark: bool) -> None:
        """WCAG 2.2: 1.4.3 (contrast at least 4.5 to 1) and 1.4.10 (no scrolling sideways)."""
        html = {
            "page": page(busy(), Recorded(busy()).explain, register()),
            "untold": page(busy(), str),
            "paper": paper(register()),
            "sign": sign(register(), "https://poles.city.example/harbour-12"),
        }[what]
        body = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
        (tmp_path / "page.html").write_text(body.replace("</body>", PROBE + "</body>"))
        (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        dom = subprocess.run(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", scheme),
                *("--disable-background-networking", f"--user-data-dir={tmp_path}/browser"),
                *(
                    "--window-size=1400,900",
                    "--virtual-time-budget=3000",
                    "--dump-dom",
                    (tmp_path / "frame.html").as_uri(),
                ),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        title = re.search(r"<title>(.*?)</title>", dom)
        assert title
        found = json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
        assert found == {"wide": 0, "faint": [], "small": [], "dark": dark, "width": width}
