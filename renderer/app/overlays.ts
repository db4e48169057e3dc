// Which of the window's overlays is open; commands open them, the overlays close themselves.
import { reactive } from 'vue'

export const overlays = reactive({ palette: false, shortcuts: false, newProject: false })
