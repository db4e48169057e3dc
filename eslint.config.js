// Lint: recommended rules plus the layer rule (eslint/layers.js) and per-layer package bans.
import js from '@eslint/js'
import prettier from 'eslint-config-prettier'
import vue from 'eslint-plugin-vue'
import globals from 'globals'
import ts from 'typescript-eslint'
import { layersRule } from './eslint/layers.js'

const house = { rules: { layers: layersRule } }
const noPackages = (names) => ({
  'no-restricted-imports': [
    'error',
    { patterns: names.map((name) => ({ group: [name], message: `not in this layer` })) },
  ],
})

export default ts.config(
  { ignores: ['node_modules', 'out', 'dist', 'artifacts', 'native/simulator', 'resources'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...vue.configs['flat/recommended'],
  {
    files: ['**/*.vue'],
    languageOptions: { parserOptions: { parser: ts.parser } },
    rules: { 'vue/multi-word-component-names': 'off' },
  },
  {
    plugins: { house },
    languageOptions: { globals: { ...globals.node } },
    rules: {
      'house/layers': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'error',
      'no-console': 'off',
      eqeqeq: 'error',
      'no-undef': 'off',
    },
  },
  {
    files: ['contract/**/*.ts'],
    rules: noPackages([
      'node:*',
      'koffi',
      'onnxruntime-node',
      'better-sqlite3',
      'electron',
      'vue',
      'vue-*',
      'pinia',
    ]),
  },
  {
    files: ['engine/**/*.ts', 'native/acl/**/*.ts', 'native/observer/**/*.ts'],
    rules: noPackages(['electron', 'vue', 'vue-*', 'pinia', 'echarts', 'element-plus']),
  },
  {
    files: ['renderer/**/*.ts', 'renderer/**/*.vue'],
    languageOptions: { globals: { ...globals.browser } },
    rules: noPackages(['node:*', 'koffi', 'onnxruntime-node', 'better-sqlite3', 'electron']),
  },
  {
    files: ['engine/**/*.ts'],
    ignores: ['engine/device/**'],
    rules: noPackages(['electron', 'vue', 'vue-*', 'pinia', 'echarts', 'element-plus', 'koffi']),
  },
  prettier,
)
