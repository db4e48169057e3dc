// Start of the window: tokens, stores, languages, pages.
import './theme/components.ts'
import './theme/tokens.css'
import './theme/base.css'
import './theme/element.css'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './app/App.vue'
import { router } from './app/router.ts'
import { i18n } from './i18n/index.ts'
import { useNotices } from './stores/notices.ts'
import { useSession } from './stores/session.ts'

const app = createApp(App)
app.use(createPinia())
app.use(i18n)
app.use(router)

const notices = useNotices()
app.config.errorHandler = (thrown) => notices.fail(thrown)
window.addEventListener('unhandledrejection', (event) => notices.fail(event.reason))

// A page whose files were replaced by a newer build is loaded anew, once.
window.addEventListener('vite:preloadError', (event) => {
  if (sessionStorage.getItem('aqw.reloaded')) return
  sessionStorage.setItem('aqw.reloaded', '1')
  event.preventDefault()
  location.reload()
})
router.afterEach(() => sessionStorage.removeItem('aqw.reloaded'))

useSession().start()
app.mount('#app')
