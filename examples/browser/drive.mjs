// node drive.mjs ADDRESS CHROMIUM QUESTION [PICTURE]: asks the page a question in headless Chromium, and
// prints what it answers as JSON.
import { chromium } from "playwright-core";

const [address, executablePath, question, picture] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 820 } });
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("requestfailed", (request) => problems.push(request.url()));
  await page.goto(address);
  await page.waitForSelector("#question:enabled", { timeout: Number(process.env.WAIT_MS ?? 500_000) }).catch((error) => {
    throw new Error([error.message, ...problems].join("\n"));
  });
  await page.fill("#question", question);
  await page.press("#question", "Enter");
  await page.waitForSelector("body[data-answered]", { timeout: 60_000 });
  if (picture) await page.screenshot({ path: picture });
  const answers = await page.$$eval("#answers li", (rows) =>
    rows.map((row) => [...row.children].map((part) => part.textContent)));
  console.log(JSON.stringify({ answers, problems }));
} finally {
  await browser.close();
}
