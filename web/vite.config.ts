import { defineConfig } from "vite";
import { licences } from "./licences.ts";

/** Both pages are built into the package that serves them; the built files are committed. */
export default defineConfig({
  // Links are relative, so that the pages work under any prefix of a proxy.
  base: "./",
  html: { cspNonce: "__NONCE__" },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [licences()],
  build: {
    outDir: process.env.PAGE_OUT ?? "../deployments/api/page/built",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: { input: { index: "index.html", docs: "docs.html" } },
  },
});
