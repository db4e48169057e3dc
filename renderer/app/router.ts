// Addresses of the pages. Hash history: the same build runs behind http:// and app:// without server rewrites.
import { createRouter, createWebHashHistory, type RouteRecordRaw } from 'vue-router'

/** Pages of a project in the order of the navigation; the names double as i18n keys under shell.nav. */
export const projectPages = [
  'overview',
  'models',
  'data',
  'calibration',
  'quantize',
  'compare',
  'quality',
  'jobs',
] as const
export type ProjectPage = (typeof projectPages)[number]

/** Key of a page's shortcut. A new page takes a free one: those that people know stay. */
export const pageKeys: Record<ProjectPage, number | string> = {
  overview: 1,
  models: 2,
  data: 3,
  quantize: 4,
  compare: 5,
  jobs: 6,
  calibration: 7,
  quality: 'Q',
}

const routes: RouteRecordRaw[] = [
  { path: '/', name: 'home', component: () => import('../pages/home/HomePage.vue') },
  {
    path: '/project/:projectId',
    component: () => import('../pages/project/ProjectFrame.vue'),
    props: true,
    children: [
      {
        path: '',
        name: 'overview',
        component: () => import('../pages/project/OverviewPage.vue'),
        props: true,
      },
      {
        path: 'models/:modelId?',
        name: 'models',
        component: () => import('../pages/models/ModelsPage.vue'),
        props: true,
      },
      {
        path: 'data/:datasetId?',
        name: 'data',
        component: () => import('../pages/data/DataPage.vue'),
        props: true,
      },
      {
        path: 'calibration/:calibrationId?',
        name: 'calibration',
        component: () => import('../pages/calibration/CalibrationPage.vue'),
        props: true,
      },
      {
        path: 'quantize/:recipeId?',
        name: 'quantize',
        component: () => import('../pages/quantize/QuantizePage.vue'),
        props: true,
      },
      {
        path: 'compare/:runId?',
        name: 'compare',
        component: () => import('../pages/compare/ComparePage.vue'),
        props: true,
      },
      {
        path: 'side-by-side',
        name: 'side-by-side',
        component: () => import('../pages/compare/SideBySidePage.vue'),
        props: (route) => ({
          projectId: String(route.params.projectId),
          ids: String(route.query.ids ?? '')
            .split(',')
            .filter(Boolean),
        }),
      },
      {
        path: 'quality/:runId?',
        name: 'quality',
        component: () => import('../pages/quality/QualityPage.vue'),
        props: true,
      },
      {
        path: 'vote/:runId?',
        name: 'vote',
        component: () => import('../pages/quality/VotePage.vue'),
        props: true,
      },
      {
        path: 'jobs/:jobId?',
        name: 'jobs',
        component: () => import('../pages/jobs/JobsPage.vue'),
        props: true,
      },
    ],
  },
  {
    path: '/jobs/:jobId?',
    name: 'all-jobs',
    component: () => import('../pages/jobs/JobsPage.vue'),
    props: true,
  },
  {
    path: '/devices/:deviceId?',
    name: 'devices',
    component: () => import('../pages/devices/DevicesPage.vue'),
    props: true,
  },
  { path: '/settings', name: 'settings', component: () => import('../pages/settings/SettingsPage.vue') },
  { path: '/:rest(.*)*', redirect: '/' },
]

export const router = createRouter({ history: createWebHashHistory(), routes })
