import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

/** Writes the licences of the packages that the pages contain beside them. */
export function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
      const packages = Object.keys(JSON.parse(read("package.json")).dependencies).sort();
      const source = packages
        .map((name) => `${name}\n\n${read(`node_modules/${name}/LICENSE`).trim()}\n`)
        .join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licences.txt", source });
    },
  };
}
