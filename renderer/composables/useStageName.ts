// A job stage in the language of the window; keys that the window does not know are shown as they are.
import { useI18n } from 'vue-i18n'

/** Stage keys may carry a part after a colon, such as `compile:int8`. */
export function useStageName(): (key: string) => string {
  const { t, te } = useI18n()
  return (key) => {
    const [stage = key, part] = key.split(/[:.-]/)
    const name = te(`common.stage.${stage}`) ? t(`common.stage.${stage}`) : stage
    return part ? `${name} ${part.toUpperCase()}` : name
  }
}
