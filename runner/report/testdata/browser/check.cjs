// Opens a page in headless Chromium at phone and desktop widths, light and dark.
// Prints one JSON object with what is wrong; screenshots go to a folder.
// usage: NODE_PATH=… node check.cjs PAGE FOLDER
const fs = require('fs'), os = require('os'), path = require('path')
const puppeteer = require('puppeteer-core')
const { HtmlValidate } = require('html-validate')

const [page, folder] = process.argv.slice(2)
const views = [390, 1280].flatMap(width => ['light', 'dark'].map(scheme => ({ width, scheme })))

async function main() {
  const faults = []
  const html = new HtmlValidate({ extends: ['html-validate:recommended'], rules: { 'long-title': 'off', 'no-trailing-whitespace': 'off' } })
  for (const result of (await html.validateFile(page)).results)
    for (const m of result.messages) faults.push(`html ${m.line}:${m.column} ${m.ruleId}: ${m.message}`)

  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'reprise-chromium-'))
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM, headless: true, userDataDir: profile,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  try {
    for (const { width, scheme } of views) {
      const at = `${path.basename(page)} ${width} ${scheme}:`
      const tab = await browser.newPage()
      tab.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') faults.push(`${at} console: ${m.text()}`) })
      tab.on('pageerror', e => faults.push(`${at} ${e}`))
      tab.on('request', r => { if (!/^(file|data):/.test(r.url())) faults.push(`${at} asks the network for ${r.url()}`) })
      await tab.setViewport({ width, height: 900 })
      await tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      await tab.goto('file://' + path.resolve(page))
      await tab.screenshot({ path: path.join(folder, `${path.basename(page, '.html')}-${width}-${scheme}.png`), fullPage: true })
      for (const open of [false, true]) {
        const wide = await tab.evaluate(open => {
          if (open) document.querySelectorAll('details').forEach(d => { d.open = true })
          return document.documentElement.scrollWidth - window.innerWidth
        }, open)
        if (wide > 0) faults.push(`${at} scrolls sideways by ${wide} px, details ${open ? 'open' : 'closed'}`)
      }
      const bare = await tab.evaluate(() => [...document.querySelectorAll('section.card')]
        .filter(s => s.querySelector('svg.plot') && !s.querySelector('details.of-plot table.data tbody tr')).map(s => s.id))
      for (const id of bare) faults.push(`${at} plot ${id} has no data table`)
      await tab.addScriptTag({ path: require.resolve('axe-core/axe.min.js') })
      const found = await tab.evaluate(() => axe.run({ resultTypes: ['violations'] }))
      for (const v of found.violations)
        if (v.impact === 'serious' || v.impact === 'critical') faults.push(`${at} axe ${v.id}: ${v.nodes[0].html.slice(0, 160)}`)
      await tab.close()
    }
  } finally {
    await browser.close()
    fs.rmSync(profile, { recursive: true, force: true })
  }
  console.log(JSON.stringify(faults))
}
main().catch(e => { console.error(e); process.exit(1) })
