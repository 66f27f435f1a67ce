// A report in a real browser: says nothing on the console, asks for nothing, has no serious finding
// of axe in light and dark, sorts and filters under real clicks and keys, is no wider than a phone,
// and opens in two seconds.
//
//   python -m benchmarks.report_examples build/reports
//   npm install --prefix benchmarks/browser
//   node benchmarks/browser/report.mjs build/reports/*/report.html
//
// CHROMIUM names the browser (/usr/bin/chromium); SECONDS is what opening may take, for a machine
// with other work. Screenshots are written beside each report.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const SECONDS = Number(process.env.SECONDS ?? 2);
const axe = fs.readFileSync(fileURLToPath(import.meta.resolve("axe-core")), "utf-8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const looks = {
  desktop: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
};

const values = (page, column) => page.$$eval(
  "table.cells tbody tr:not([hidden])",
  (rows, at) => rows.map((row) => row.cells[at].dataset.value), column,
);
const inOrder = (found, sign) => {
  const numbers = found.filter((value) => value !== "").map(Number);
  return numbers.every((value, at) => at === 0 || sign * (value - numbers[at - 1]) >= 0);
};

async function sorts(page) {
  const headers = page.locator("table.cells th[aria-sort]");
  const column = await headers.count() - 1;
  await headers.nth(column).locator("button").click();
  assert.equal(await headers.nth(column).getAttribute("aria-sort"), "ascending");
  assert(inOrder(await values(page, column), 1), "a click sorts upwards");
  await headers.nth(column).locator("button").focus();
  await page.keyboard.press("Enter");
  assert.equal(await headers.nth(column).getAttribute("aria-sort"), "descending");
  assert(inOrder(await values(page, column), -1), "Enter sorts downwards");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Space");
  assert.equal(await headers.nth(column - 1).getAttribute("aria-sort"), "ascending");
  await headers.nth(0).locator("button").click();
}

async function filters(page) {
  const all = (await values(page, 0)).length;
  const select = page.locator("select[data-axis]").first();
  if (await select.count()) {
    await select.selectOption({ index: 1 });
    const kept = await values(page, 1);
    assert(kept.length < all && new Set(kept).size === 1, "a choice keeps the rows of its value");
    const off = await page.locator("figure svg g[data-cells].off").count();
    assert(off > 0, "and hides the curves of the others");
    await select.selectOption("");
  }
  await page.locator("#filter").click();
  await page.keyboard.type("no such cell");
  assert.equal((await values(page, 0)).length, 0);
  await page.locator("#filter").fill("");
  assert.equal((await values(page, 0)).length, all);
}

async function toggles(page) {
  const curves = "figure svg g[data-cells='0']:not(.off)";
  const before = await page.locator(curves).count();
  await page.locator("tr[data-cell='0'] input").click();
  if (before) assert(await page.locator(curves).count() < before, "a box hides what is of its cell alone");
  await page.locator("#show-all").click();
  assert.equal(await page.locator(curves).count(), before);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("table.cells input:checked").count(), 0);
  await page.locator("#show-all").click();
}

async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  return violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => `${found.id}: ${found.help} (${found.nodes.length}) ${found.nodes[0].html.slice(0, 200)}`);
}

async function opens(page, url) {
  const begun = performance.now();
  await page.goto(url);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  return (performance.now() - begun) / 1000;
}

async function check(file, look) {
  const context = await browser.newContext(looks[look]);
  const page = await context.newPage();
  const said = [];
  const url = pathToFileURL(path.resolve(file)).href;
  page.on("console", (message) => said.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`error: ${error}`));
  page.on("dialog", (dialog) => { said.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) said.push(`request: ${request.url()}`);
  });
  // Other programs of the machine only add to it.
  const seconds = Math.min(await opens(page, url), await opens(page, url), await opens(page, url));
  assert(seconds <= SECONDS, `${file} opens in ${seconds.toFixed(2)} s`);
  assert.deepEqual(await findings(page), []);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert(wide <= 0, `${file} is ${wide} pixels wider than ${look}`);
  const busy = performance.now();
  await sorts(page);
  await filters(page);
  await toggles(page);
  const used = (performance.now() - busy) / 1000;
  await page.mouse.move(0, 0);
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.screenshot({ path: path.join(path.dirname(file), `${look}.png`), fullPage: true });
  if (look === "desktop") {
    // docs/report.png, with fewer colours, is one of these.
    const clip = { x: 0, y: 0, width: 1280, height: 2080 };
    await page.screenshot({ path: path.join(path.dirname(file), "top.png"), fullPage: true, clip });
    await page.pdf({ path: path.join(path.dirname(file), "print.pdf") });
  }
  assert.deepEqual(said, []);
  await context.close();
  console.log(`${file} ${look}: opens in ${seconds.toFixed(2)} s, used in ${used.toFixed(2)} s`);
}

try {
  for (const file of process.argv.slice(2)) {
    for (const look of Object.keys(looks)) await check(file, look);
  }
} finally {
  await browser.close();
}
