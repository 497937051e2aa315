// Builds dist/: the stylesheets (Tabler's and ours, without the rules that no
// page uses), the console's script, the icons, and manifest.json with the
// digest of every source, by which `go test ./web/page` sees a stale build.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import postcss from "postcss";
import { PurgeCSS } from "purgecss";

const web = "../..";
const templates = { portal: ["page/layout", "portal/pages"], console: ["page/layout", "console/pages", "../demo/pages"] };
const ours = ["package-lock.json", "build.mjs", "icons.txt", "base.css", "portal.css", "console.css", "console.js", "portal.js"];

const digest = (content) => createHash("sha256").update(content).digest("hex");
const files = {};

function htmlIn(folder) {
  if (!existsSync(`${web}/${folder}`)) return [];
  return readdirSync(`${web}/${folder}`).filter((f) => f.endsWith(".html")).sort().map((f) => `${folder}/${f}`);
}

// Tabler keys its dark theme to an attribute, which needs a script to set. We
// follow the reader's setting instead: its dark rules go into a media query,
// and colours written with light-dark() follow `color-scheme` in base.css.
const followReader = {
  postcssPlugin: "follow-reader",
  Rule(rule) {
    if (rule.seen || !/data-(bs-)?theme|theme-dark|navbar-theme/.test(rule.selector)) return;
    rule.seen = true;
    const plain = [], dark = [];
    for (const s of rule.selectors) {
      if (s === "[data-bs-theme=dark]") dark.push(":root");
      else if (s.startsWith("[data-bs-theme=dark] ")) dark.push(":root " + s.slice(21));
      else if (!/theme/.test(s)) plain.push(s);
    }
    if (dark.length) {
      const copy = rule.clone({ selectors: dark });
      copy.seen = true;
      copy.walkDecls("color-scheme", (d) => d.remove());
      rule.after(postcss.atRule({ name: "media", params: "(prefers-color-scheme: dark)", nodes: [copy] }));
    }
    if (plain.length) rule.selectors = plain;
    else rule.remove();
  },
};

async function styles(name) {
  const bundle = await esbuild.build({ entryPoints: [`${name}.css`], bundle: true, write: false, logLevel: "warning" });
  const themed = await postcss([followReader]).process(bundle.outputFiles[0].text, { from: undefined });
  const content = templates[name].flatMap(htmlIn).map((f) => ({ raw: readFileSync(`${web}/${f}`, "utf8"), extension: "html" }));
  const [purged] = await new PurgeCSS().purge({
    content,
    css: [{ raw: themed.css }],
    variables: true,
    keyframes: true,
    fontFace: true,
    safelist: ["html", "body", "icon", "time", "svg", "path", "root", /^state-/], // templates put states together
    blocklist: [/^ts-/, /^tom-/, /^apexcharts/, /^jvm-/],
  });
  const small = await esbuild.transform(purged.css, { loader: "css", minify: true, legalComments: "inline" });
  write(`${name}.css`, small.code);
}

// htmx and its extension are plain scripts that meet at window.htmx, so they
// are put one after the other, ours last.
async function script(name, ...before) {
  const parts = [...before, `${name}.js`];
  const joined = parts.map((f) => readFileSync(f, "utf8")).join("\n;\n");
  const small = await esbuild.transform(joined, { minify: true, target: "es2022", legalComments: "inline" });
  write(`${name}.js`, small.code);
}

function icons() {
  const out = {};
  for (const name of readFileSync("icons.txt", "utf8").split("\n").map((l) => l.trim()).filter((l) => l && !l.startsWith("#"))) {
    const svg = readFileSync(`node_modules/@tabler/icons/icons/outline/${name}.svg`, "utf8");
    out[name] = svg.replace(/<!--[\s\S]*?-->/g, "").replace(/^\s*<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "").replace(/\s*\n\s*/g, "");
  }
  writeFileSync("dist/icons.json", JSON.stringify(out, null, 1) + "\n");
}

function write(name, content) {
  const dot = name.lastIndexOf(".");
  const hashed = `${name.slice(0, dot)}-${digest(content).slice(0, 10)}${name.slice(dot)}`;
  writeFileSync(`dist/${hashed}`, content);
  files[name] = hashed;
  console.log(`${hashed}  ${content.length} bytes, ${gzipSync(content, { level: 9 }).length} gzipped`);
}

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
await styles("portal");
await styles("console");
await script("console", "node_modules/htmx.org/dist/htmx.js", "node_modules/htmx.org/dist/ext/hx-sse.js");
await script("portal");
icons();

const sources = {};
for (const f of ours) sources[`page/assets/${f}`] = digest(readFileSync(f));
for (const f of new Set(Object.values(templates).flat().flatMap(htmlIn))) sources[f] = digest(readFileSync(`${web}/${f}`));
writeFileSync("dist/manifest.json", JSON.stringify({ files, sources }, null, 1) + "\n");
