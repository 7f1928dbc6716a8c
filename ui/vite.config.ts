// One build for each page: its files go into the program, so they must be the same bytes wherever they are built.
import { defineConfig } from 'vite';

// demo, inspector, or docs.
const page = process.env.PAGE ?? 'demo';

export default defineConfig({
  root: page,
  // The viewer lies below a path of its own.
  base: page === 'docs' ? '/docs/' : './',
  build: {
    outDir: `../dist/${page}`,
    emptyOutDir: true,
    target: 'es2022',
    // Inlined data: URLs would need a hole in the page's Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
