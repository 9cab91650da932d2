// A student's browser. browser.mjs HUB NAME PASSWORD FOLDER: logs in, looks at what was delivered, types into two tabs
// without saving, says "typed", waits for a line on stdin (a push has arrived), saves, says "saved". Screenshots go to
// FOLDER. Anything unexpected ends it with an error.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
const { chromium } = createRequire(process.env.HUB_NODE + '/')('playwright-core');
const [hub, name, password, folder] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM, headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ viewport: { width: 1100, height: 700 } });
context.setDefaultTimeout(60000);
const shot = (page, as) => page.screenshot({ path: `${folder}/${as}.png` });

async function open(path, ready) {
  const page = await context.newPage();
  page.on('dialog', d => d.accept()); // "leave the page?"
  await page.addLocatorHandler(page.getByText('official Jupyter news'), () => page.getByRole('button', { name: 'No', exact: true }).click());
  await page.goto(`${hub}/user/${name}/lab/workspaces/${path.replace(/\W/g, '')}/tree/${path}`);
  await page.waitForSelector(ready);
  await page.waitForSelector('#jupyterlab-splash', { state: 'detached' });
  return page;
}

// What is typed is in the document, and not on the disk.
async function type(page, editor, text) {
  await page.locator(editor).first().click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type(text);
  await page.waitForSelector('.lm-DockPanel-tabBar .jp-mod-dirty');
}

// Saves. The file is the one that was opened, so nothing is asked.
async function save(page) {
  await page.bringToFront();
  await page.keyboard.press('Control+s');
  await page.waitForFunction(() => !document.querySelector('.lm-DockPanel-tabBar .jp-mod-dirty'));
}

async function student() {
  const start = await context.newPage();
  await start.goto(hub + '/hub/login');
  await start.fill('input[name=username]', name);
  await start.fill('input[name=password]', password);
  await start.click('#login_submit');
  await start.waitForURL('**/spawn-pending/**');
  await start.locator('#progress-details summary').click();
  await start.waitForFunction(() => document.querySelector('#progress-log').innerText.includes('Course material'));
  await shot(start, 'hub-spawn');
  console.log('page: ' + (await start.innerText('#progress-log')).split('\n').find(l => l.includes('Course material')));
  await start.waitForURL('**/user/' + name + '/lab**');
  await start.close();

  const news = await open('What is new.md', '.jp-FileEditor .cm-content');
  console.log('news: ' + (await news.innerText('.jp-FileEditor .cm-content')).replace(/\s+/g, ' '));
  await shot(news, 'hub-what-is-new');
  await news.close();

  const notebook = await open('scala101/lab2/rainfall.ipynb', '.jp-Notebook .jp-CodeCell .cm-content');
  await notebook.waitForSelector('.jp-Notebook .jp-RenderedMarkdown h1');
  console.log('notebook: ' + (await notebook.innerText('.jp-Notebook .jp-RenderedMarkdown h1')));
  await notebook.waitForSelector('.jp-Toolbar-kernelStatus, .jp-NotebookPanel-toolbar [data-status]');
  await shot(notebook, 'hub-notebook');
  const text = await open('scala101/README.md', '.jp-FileEditor .cm-content');

  await type(text, '.jp-FileEditor .cm-content', '\nmy unsaved words');
  await notebook.bringToFront();
  await type(notebook, '.jp-Notebook .jp-CodeCell .cm-content', '\n# my unsaved cell');
  console.log('typed');
  await lines.next();
  await save(notebook);
  await save(text);
  console.log('saved');
  await lines.next();
}

try {
  await student();
} catch (e) {
  for (const [i, page] of context.pages().entries()) await shot(page, 'failed-' + i).catch(() => {});
  throw e;
} finally {
  await browser.close();
}
