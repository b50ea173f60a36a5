import { defineConfig } from 'vite'

export default defineConfig({
  base: '/',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Of browsers before 2024: what is newer in the style sheet is written in older words.
    cssTarget: ['chrome111', 'firefox114', 'safari16.4'],
    // The policy of the page allows no inline script, and no polyfill is needed.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
