package agent

// This file is the catalogue: every sentence that a student can read, in each
// language. A sentence names what it is filled with in braces; both languages
// have the same names. Only these words are used for the things of Satchel:
// course, version, group, release date, your file, the course's file.

// key names one sentence.
type key string

// sentence is one line in each language.
type sentence struct{ en, es string }

const (
	kUpToDate             key = "up_to_date"
	kUpdated              key = "updated"
	kUpdatedPlain         key = "updated_plain"
	kNew                  key = "new"
	kNewOne               key = "new_one"
	kChanged              key = "changed"
	kChangedOne           key = "changed_one"
	kRemoved              key = "removed"
	kRemovedOne           key = "removed_one"
	kMerged               key = "merged"
	kMergedRun            key = "merged_run"
	kMergedLines          key = "merged_lines"
	kMergedGone           key = "merged_gone"
	kCell                 key = "cell"
	kCellTitled           key = "cell_titled"
	kMoreCells            key = "more_cells"
	kSameCells            key = "same_cells"
	kSameLines            key = "same_lines"
	kBothChanged          key = "both_changed"
	kInTheWay             key = "in_the_way"
	kRemovedKept          key = "removed_kept"
	kMoved                key = "moved"
	kBroughtBack          key = "brought_back"
	kBroughtBackMine      key = "brought_back_mine"
	kBlocked              key = "blocked"
	kMovedAside           key = "moved_aside"
	kSavedBeside          key = "saved_beside"
	kWithdrawn            key = "withdrawn"
	kLeftOne              key = "left_one"
	kLeft                 key = "left"
	kRecovered            key = "recovered"
	kRecoveredHere        key = "recovered_here"
	kFolderRenamed        key = "folder_renamed"
	kFolderStays          key = "folder_stays"
	kNotWritten           key = "not_written"
	kNoSpace              key = "no_space"
	kNoPermission         key = "no_permission"
	kReadOnly             key = "read_only"
	kNoHistory            key = "no_history"
	kNoFolder             key = "no_folder"
	kUnreachable          key = "unreachable"
	kUnreachableNone      key = "unreachable_none"
	kBusy                 key = "busy"
	kArriving             key = "arriving"
	kArrivingNB           key = "arriving_notebooks"
	kWaitOne              key = "wait_one"
	kWait                 key = "wait"
	kNoCourse             key = "no_course"
	kNoGroups             key = "no_groups"
	kEmpty                key = "empty"
	kPaused               key = "paused"
	kPausedHere           key = "paused_here"
	kUnverified           key = "unverified"
	kKeyChanged           key = "key_changed"
	kNewer                key = "newer"
	kOlder                key = "older"
	kOvertaken            key = "overtaken"
	kStale                key = "stale"
	kOver                 key = "over"
	kClocksDiffer         key = "clocks_differ"
	kNoService            key = "no_service"
	kNoTicket             key = "no_ticket"
	kTicketOver           key = "ticket_over"
	kNoKeys               key = "no_keys"
	kBadSetting           key = "bad_setting"
	kLocked               key = "locked"
	kRootLink             key = "root_link"
	kRootReadOnly         key = "root_read_only"
	kRootBroken           key = "root_broken"
	kStateNewer           key = "state_newer"
	kAsRoot               key = "as_root"
	kRestored             key = "restored"
	kRestoredAside        key = "restored_aside"
	kRestoredVersion      key = "restored_version"
	kRestoredVersionAside key = "restored_version_aside"
	kNoVersion            key = "no_version"
	kRestoredAll          key = "restored_all"
	kUndone               key = "undone"
	kRedone               key = "redone"
	kUndoneOne            key = "undone_one"
	kRedoneOne            key = "redone_one"
	kNotUndone            key = "not_undone"
	kNothingToUndo        key = "nothing_to_undo"
	kNoDifference         key = "no_difference"
	kDiffers              key = "differs"
	kDiffersUnshown       key = "differs_unshown"
	kOnlyYours            key = "only_yours"
	kOnlyCourses          key = "only_courses"
	kCellChanged          key = "cell_changed"
	kCellMoved            key = "cell_moved"
	kNotInCourse          key = "not_in_course"
	kInSeveral            key = "in_several"
	kOnesOwn              key = "ones_own"
	kNeedsNetwork         key = "needs_network"
	kBackground           key = "background"
	kNothingSent          key = "nothing_sent"
	kNothingHere          key = "nothing_here"
	kHave                 key = "have"
	kHaveSince            key = "have_since"
	kHaveInPart           key = "have_in_part"
	kNotHere              key = "not_here"
	kNotShown             key = "not_shown"
	kNotRestored          key = "not_restored"
	kAndMore              key = "and_more"
	kNotYet               key = "not_yet"
	kKeptHere             key = "kept_here"
	kKeptMine             key = "kept_mine"
	kHeldBack             key = "held_back"
	kCanUndo              key = "can_undo"
	kOfflineSince         key = "offline_since"
	kLastTrouble          key = "last_trouble"
	kLogIs                key = "log_is"
	kNoLog                key = "no_log"
	kNewsTitle            key = "news_title"
	kNewsIntro            key = "news_intro"
	kTeacher              key = "teacher"
	kAnd                  key = "and"
	kMore                 key = "more"
)

var sentences = map[key]sentence{
	kUpToDate: {
		"Course material is up to date (version {version}).",
		"El material del curso está al día (versión {version})."},
	kUpdated: {
		"Updated to version {version}: {changes}.",
		"Actualizado a la versión {version}: {changes}."},
	kUpdatedPlain: {
		"Updated to version {version}.",
		"Actualizado a la versión {version}."},
	kNew:        {"{n} new", "{n} nuevos"},
	kNewOne:     {"{n} new", "{n} nuevo"},
	kChanged:    {"{n} changed", "{n} cambiados"},
	kChangedOne: {"{n} changed", "{n} cambiado"},
	kRemoved:    {"{n} removed", "{n} eliminados"},
	kRemovedOne: {"{n} removed", "{n} eliminado"},

	kMerged: {
		"{path}: your work is kept; the course's changes to {cells} were added.",
		"{path}: tu trabajo se conserva; se añadieron los cambios del curso en {cells}."},
	kMergedRun: {
		"{path}: your work is kept; the course's changes to {cells} were added. Run {run} again.",
		"{path}: tu trabajo se conserva; se añadieron los cambios del curso en {cells}. Ejecuta de nuevo {run}."},
	kMergedLines: {
		"{path}: your work is kept; the course's changes were added.",
		"{path}: tu trabajo se conserva; se añadieron los cambios del curso."},
	kMergedGone: {
		"{path}: your work is kept; cells that the course took out ({n}) were removed.",
		"{path}: tu trabajo se conserva; se quitaron las celdas que el curso retiró ({n})."},
	kCell: {
		"cell {n}",
		"la celda {n}"},
	kCellTitled: {
		"cell {n} (\"{title}\")",
		"la celda {n} (\"{title}\")"},
	kMoreCells: {
		"{n} more",
		"{n} más"},
	kSameCells: {
		"{path}: you and the course changed the same lines of {cells}. Yours is in place; theirs is in \"{copy}\".",
		"{path}: el curso y tú habéis cambiado las mismas líneas de {cells}. Lo tuyo queda en su sitio; lo del curso está en \"{copy}\"."},
	kSameLines: {
		"{path}: you and the course changed the same lines. Yours is in place; theirs is in \"{copy}\".",
		"{path}: el curso y tú habéis cambiado las mismas líneas. Lo tuyo queda en su sitio; lo del curso está en \"{copy}\"."},
	kBothChanged: {
		"{path}: you and the course both changed this file. Yours is in place; theirs is in \"{copy}\".",
		"{path}: el curso y tú habéis cambiado este archivo. El tuyo queda en su sitio; el del curso está en \"{copy}\"."},
	kInTheWay: {
		"{path}: a new course file has the name of yours. Yours stays; the course's is \"{copy}\".",
		"{path}: un archivo nuevo del curso se llama como el tuyo. El tuyo se queda; el del curso es \"{copy}\"."},
	kRemovedKept: {
		"{path} was removed from the course; you had changed it, so it stays.",
		"{path} se eliminó del curso; lo habías cambiado, así que se queda."},
	kMoved: {
		"{path} is the new name of {name}; your changes went along.",
		"{path} es el nuevo nombre de {name}; tus cambios se han ido con él."},
	kBroughtBack: {
		"{path} had been deleted here; the newest version was brought back. Delete it again to keep it away.",
		"{path} se había borrado aquí; se ha traído la versión más reciente. Bórralo otra vez para que no vuelva."},
	kBroughtBackMine: {
		"{path} had been renamed here to \"{name}\", which stays yours; the newest version of the course's file was brought back. Delete it again to keep it away.",
		"{path} se había renombrado aquí a \"{name}\", que sigue siendo tuyo; se ha traído la versión más reciente del archivo del curso. Bórralo otra vez para que no vuelva."},
	kMovedAside: {
		"{path} was in the way of a course file or folder; it is yours and is now called \"{copy}\".",
		"{path} ocupaba el sitio de un archivo o carpeta del curso; es tuyo y ahora se llama \"{copy}\"."},
	kSavedBeside: {
		"{path} now has the course's newest version; what you had written is in \"{copy}\".",
		"{path} tiene ahora la versión más reciente del curso; lo que habías escrito está en \"{copy}\"."},
	kWithdrawn: {
		"{path} was withdrawn by your teacher and removed.",
		"Tu docente ha retirado {path} y se ha eliminado."},
	kBlocked: {
		"{path}: something else than a file is in its place, so it was left; the course's file is \"{copy}\".",
		"{path}: en su lugar hay algo que no es un archivo, así que se ha dejado; el archivo del curso es \"{copy}\"."},
	kLeftOne: {
		"1 file is no longer given out to your group; it stays as it is.",
		"1 archivo ya no se reparte a tu grupo; se queda como está."},
	kLeft: {
		"{n} files are no longer given out to your group; they stay as they are.",
		"{n} archivos ya no se reparten a tu grupo; se quedan como están."},
	kRecovered: {
		"{path} was saved while it was being updated; nothing was lost: what else there was is in \"{copy}\".",
		"{path} se guardó mientras se actualizaba; no se ha perdido nada: lo demás está en \"{copy}\"."},
	kRecoveredHere: {
		"{path} was saved while it was being updated; nothing was lost: what you saved is in place, and the course's changes will be added at the next start.",
		"{path} se guardó mientras se actualizaba; no se ha perdido nada: lo que guardaste está en su sitio, y los cambios del curso se añadirán en el próximo inicio."},
	kFolderRenamed: {
		"The course's folder is now called \"{name}\" (it was \"{path}\").",
		"La carpeta del curso se llama ahora \"{name}\" (antes \"{path}\")."},
	kFolderStays: {
		"The course's folder should be called \"{name}\", but that name is taken; it stays \"{path}\".",
		"La carpeta del curso debería llamarse \"{name}\", pero ese nombre está ocupado; sigue siendo \"{path}\"."},

	kNotWritten: {
		"Could not update {path} ({reason}). Everything else is up to date; it will be tried again at the next login.",
		"No se pudo actualizar {path} ({reason}). Todo lo demás está al día; se volverá a intentar en el próximo inicio de sesión."},
	kNoPermission: {"no write permission", "sin permiso de escritura"},
	kReadOnly:     {"the disk is read-only", "el disco es de solo lectura"},
	kNoHistory:    {"the course server did not answer", "el servidor del curso no respondió"},
	kNoFolder: {
		"{path} is no folder any more, so nothing new arrives in it; at the next start of your server what is there gets another name, and the folder comes again.",
		"{path} ya no es una carpeta, así que no le llega nada nuevo; en el próximo inicio de tu servidor lo que hay allí recibirá otro nombre y la carpeta volverá."},
	kNoSpace: {
		"Not enough space for {path} ({need} needed, {free} free). Everything else is up to date.",
		"No hay espacio para {path} (hacen falta {need}, quedan {free}). Todo lo demás está al día."},

	kUnreachable: {
		"The course server cannot be reached; you have version {version} of {date}.",
		"No se puede contactar con el servidor del curso; tienes la versión {version} del {date}."},
	kUnreachableNone: {
		"The course server cannot be reached; no course material has arrived here yet. It will be tried again.",
		"No se puede contactar con el servidor del curso; aquí todavía no ha llegado material. Se volverá a intentar."},
	kBusy: {
		"The course server has much to do; the material will arrive in a few minutes.",
		"El servidor del curso está muy ocupado; el material llegará en unos minutos."},
	kArriving: {
		"Still arriving: {done} of {all} files ({folder}).",
		"Todavía están llegando: {done} de {all} archivos ({folder})."},
	kArrivingNB: {
		"Still arriving: {done} of {all} files ({folder}). The notebooks are complete.",
		"Todavía están llegando: {done} de {all} archivos ({folder}). Los cuadernos están completos."},
	kWaitOne: {
		"1 update waits until you close it: {paths}.",
		"1 actualización espera a que lo cierres: {paths}."},
	kWait: {
		"{n} updates wait until you close them: {paths}.",
		"{n} actualizaciones esperan a que los cierres: {paths}."},

	kNoCourse: {
		"No course is assigned to you (your groups: {groups}). Ask your teacher.",
		"No tienes ningún curso asignado (tus grupos: {groups}). Pregunta a tu docente."},
	kNoGroups: {"none", "ninguno"},
	kEmpty: {
		"Nothing has been released yet in {course}.",
		"Todavía no se ha publicado nada en {course}."},
	kPaused: {
		"{course} is paused by your teacher; nothing is given out at the moment.",
		"Tu docente ha puesto {course} en pausa; de momento no se reparte nada."},
	kPausedHere: {
		"{course} is paused by your teacher; you have version {version}.",
		"Tu docente ha puesto {course} en pausa; tienes la versión {version}."},
	kUnverified: {
		"The material could not be verified, so nothing was changed. Tell your teacher.",
		"No se pudo comprobar el material, así que no se cambió nada. Avisa a tu docente."},
	kKeyChanged: {
		"This server was made before the course's key changed; start a new one.",
		"Este servidor se creó antes de que cambiara la clave del curso; inicia uno nuevo."},
	kNewer: {
		"The course server is newer than this program, so nothing was changed. Start a new server, or tell your teacher.",
		"El servidor del curso es más nuevo que este programa, así que no se cambió nada. Inicia un servidor nuevo o avisa a tu docente."},
	kOlder: {
		"The course server has an older version of {course} than you (you have version {version}). You keep yours; new material comes when the server is mended.",
		"El servidor del curso tiene una versión de {course} más antigua que la tuya (tienes la versión {version}). Te quedas con la tuya; el material nuevo llegará cuando se arregle el servidor."},
	kOvertaken: {
		"The key of {course} was replaced, and version {was}, which only the old key signed, counts no more: you get version {version} in its place. What you wrote stays.",
		"La clave de {course} se reemplazó y la versión {was}, que solo firmó la clave antigua, ya no cuenta: en su lugar recibes la versión {version}. Lo que escribiste se queda."},
	kStale: {
		"The course server has not confirmed {course} since {date}; what you have may be old. Tell your teacher.",
		"El servidor del curso no ha confirmado {course} desde el {date}; lo que tienes puede ser antiguo. Avisa a tu docente."},

	kOver: {
		"{course} is no longer given out to you; what you have stays as it is.",
		"{course} ya no se reparte para ti; lo que tienes se queda como está."},
	kClocksDiffer: {
		"The clocks of this server and of the course server differ by more than a day, so dates may be wrong. Tell your teacher.",
		"Los relojes de este servidor y del servidor del curso difieren en más de un día, así que las fechas pueden estar mal. Avisa a tu docente."},
	kNoService: {
		"No course server is set up here (SATCHEL_URL is not set), so there is nothing to do.",
		"Aquí no hay ningún servidor de cursos configurado (SATCHEL_URL no está definida), así que no hay nada que hacer."},
	kNoTicket: {
		"This server has no ticket for the course server; stop it at the hub and start it again.",
		"Este servidor no tiene pase para el servidor del curso; deténlo en el hub e inícialo de nuevo."},
	kTicketOver: {
		"This server's ticket is over; stop it at the hub and start it again. If you read this again then, tell your teacher.",
		"El pase de este servidor ha caducado; deténlo en el hub e inícialo de nuevo. Si vuelves a leer esto, avisa a tu docente."},
	kNoKeys: {
		"This server does not know the course's key (SATCHEL_KEYS is not set), so nothing was changed. Tell your teacher.",
		"Este servidor no conoce la clave del curso (SATCHEL_KEYS no está definida), así que no se cambió nada. Avisa a tu docente."},
	kBadSetting: {
		"{name} is not set rightly ({reason}), so nothing was changed. Tell your teacher.",
		"{name} no está bien definida ({reason}), así que no se cambió nada. Avisa a tu docente."},
	kLocked: {
		"Another update of this folder is running; it will finish by itself.",
		"Ya hay otra actualización de esta carpeta en marcha; terminará por sí sola."},
	kRootLink: {
		"{path} is a link, and course material is never written through one. Make it a folder.",
		"{path} es un enlace, y el material del curso nunca se escribe a través de uno. Conviértelo en una carpeta."},
	kRootReadOnly: {
		"Nothing can be written in {path}, so nothing was changed; it will be tried again at the next login.",
		"No se puede escribir en {path}, así que no se cambió nada; se volverá a intentar en el próximo inicio de sesión."},
	kRootBroken: {
		"{path} cannot be used for course material ({reason}); nothing was changed.",
		"{path} no sirve para el material del curso ({reason}); no se cambió nada."},
	kStateNewer: {
		"A newer Satchel has worked in {path}; this one leaves it as it is. Start a new server.",
		"Un Satchel más nuevo ha trabajado en {path}; este lo deja como está. Inicia un servidor nuevo."},
	kAsRoot: {
		"Course material is not written as the administrator (root); start this as the student, or set NB_UID and NB_GID.",
		"El material del curso no se escribe como administrador (root); inícialo como estudiante o define NB_UID y NB_GID."},

	kRestored: {
		"{path} has the course's version {version} again.",
		"{path} vuelve a tener la versión {version} del curso."},
	kRestoredAside: {
		"{path} has the course's version {version} again; what was there is now \"{copy}\".",
		"{path} vuelve a tener la versión {version} del curso; lo que había es ahora \"{copy}\"."},
	kRestoredVersion: {
		"{path} is as it was in version {version}, until the course changes it again.",
		"{path} está como en la versión {version}, hasta que el curso lo cambie de nuevo."},
	kRestoredVersionAside: {
		"{path} is as it was in version {version}, until the course changes it again; what was there is now \"{copy}\".",
		"{path} está como en la versión {version}, hasta que el curso lo cambie de nuevo; lo que había es ahora \"{copy}\"."},
	kNoVersion: {
		"{path}: version {version} of it is not here any more. Ask your teacher.",
		"{path}: su versión {version} ya no está aquí. Pregunta a tu profesor."},
	kRestoredAll: {
		"Files that have the course's version {version} again: {n}.",
		"Archivos que vuelven a tener la versión {version} del curso: {n}."},
	kUndone: {
		"The update to version {version} was taken back ({n} changes). It stays so until the course changes these files again. To have it after all: satchel-agent undo",
		"Se deshizo la actualización a la versión {version} ({n} cambios). Queda así hasta que el curso cambie de nuevo estos archivos. Para recuperarla: satchel-agent undo"},
	kUndoneOne: {
		"The update to version {version} was taken back (1 change). It stays so until the course changes this file again. To have it after all: satchel-agent undo",
		"Se deshizo la actualización a la versión {version} (1 cambio). Queda así hasta que el curso cambie de nuevo este archivo. Para recuperarla: satchel-agent undo"},
	kRedoneOne: {
		"The update to version {version} is back in place (1 change).",
		"La actualización a la versión {version} vuelve a estar en su sitio (1 cambio)."},
	kRedone: {
		"The update to version {version} is back in place ({n} changes).",
		"La actualización a la versión {version} vuelve a estar en su sitio ({n} cambios)."},
	kNotUndone: {
		"{path} was left as it is: it changed since, or what was there before is no longer at hand.",
		"{path} se dejó como está: ha cambiado desde entonces, o lo que había antes ya no está disponible."},
	kNothingToUndo: {
		"There is no update that could be taken back.",
		"No hay ninguna actualización que deshacer."},
	kNoDifference: {
		"{path} is the same as the course's version {version}.",
		"{path} es igual que la versión {version} del curso."},
	kDiffers: {
		"{path}: what is different in your file (+) from the course's version {version} (-):",
		"{path}: lo que tu archivo (+) tiene distinto de la versión {version} del curso (-):"},
	kDiffersUnshown: {
		"{path} differs from the course's version {version}, but not in anything that can be shown as text.",
		"{path} es distinto de la versión {version} del curso, pero no en nada que se pueda mostrar como texto."},
	kOnlyYours: {
		"{cell}, only in yours:",
		"{cell}, solo en el tuyo:"},
	kOnlyCourses: {
		"{cell}, only in the course's:",
		"{cell}, solo en el del curso:"},
	kCellChanged: {
		"{cell}, different:",
		"{cell}, distinta:"},
	kCellMoved: {
		"{cell}, at another place",
		"{cell}, en otro lugar"},
	kNotInCourse: {
		"{path} is not a file of your courses.",
		"{path} no es un archivo de tus cursos."},
	kInSeveral: {
		"{path} is a file of {courses}. Say which one you mean:",
		"{path} es un archivo de {courses}. Di a cuál te refieres:"},
	kOnesOwn: {
		"The {path} that lies here is yours alone; {course} has a file of that name. If you mean that one:",
		"El {path} que hay aquí es solo tuyo; {course} tiene un archivo con ese nombre. Si te refieres a ese:"},
	kNeedsNetwork: {
		"{path} is not kept here and the course server cannot be reached; try again later.",
		"{path} no se guarda aquí y no se puede contactar con el servidor del curso; inténtalo más tarde."},
	kBackground: {
		"Course material is still being fetched; it goes on in the background.",
		"El material del curso todavía se está descargando; continúa en segundo plano."},
	kNothingSent: {
		"Nothing has been sent to the course server from here.",
		"Desde aquí no se ha enviado nada al servidor del curso."},
	kNothingHere: {
		"No course material has arrived in {path} yet.",
		"Todavía no ha llegado material de ningún curso a {path}."},
	kHave: {
		"{course}: version {version} in {path}.",
		"{course}: versión {version} en {path}."},
	kHaveInPart: {
		"{course}: version {version} in {path}; something of it is still missing.",
		"{course}: versión {version} en {path}; todavía falta algo de ella."},
	kNotHere: {
		"You have no file {path}. To bring it back: satchel-agent restore {typed}",
		"No tienes ningún archivo {path}. Para recuperarlo: satchel-agent restore {typed}"},
	kNotShown: {
		"{path} cannot be compared: what lies there is no file that can be read.",
		"{path} no se puede comparar: lo que hay allí no es un archivo que se pueda leer."},
	kNotRestored: {
		"Could not bring back {path} ({reason}). Nothing was changed there.",
		"No se pudo recuperar {path} ({reason}). Allí no se cambió nada."},
	kAndMore: {
		"… and {n} more like that; the whole list is in the log.",
		"… y {n} más como estas; la lista completa está en el registro."},
	kHaveSince: {
		"{course}: version {version} in {path}, last changed here on {date}.",
		"{course}: versión {version} en {path}, último cambio aquí el {date}."},
	kNotYet: {
		"{path} is not in place yet; it will be tried again.",
		"{path} todavía no está en su sitio; se volverá a intentar."},
	kKeptHere: {
		"Satchel itself keeps {size} here, to be able to update and to undo.",
		"Satchel guarda aquí {size} para poder actualizar y deshacer."},
	kKeptMine: {
		"{size} of that is your work that made way for updates; it stays for at least 30 days, in folders named shelf below {path}.",
		"{size} de eso es trabajo tuyo que dejó sitio a actualizaciones; se conserva al menos 30 días, en carpetas llamadas shelf dentro de {path}."},
	kHeldBack: {
		"You took back the update of: {paths}. To have it: satchel-agent sync --all",
		"Deshiciste la actualización de: {paths}. Para recuperarla: satchel-agent sync --all"},
	kCanUndo: {
		"What the last update changed can be taken back: satchel-agent undo",
		"Lo que cambió la última actualización se puede deshacer: satchel-agent undo"},
	kOfflineSince: {
		"The course server has not been reached since {date}, {time}.",
		"No se ha podido contactar con el servidor del curso desde el {date}, {time}."},
	kLastTrouble: {
		"Last trouble: {reason}",
		"Último problema: {reason}"},
	kLogIs: {
		"Log: {path}",
		"Registro: {path}"},
	kNoLog: {
		"Log: none yet ({path})",
		"Registro: todavía ninguno ({path})"},
	kNewsTitle: {"What is new", "Novedades"},
	kNewsIntro: {
		"Newest first. This file is written by Satchel when your course material changes.",
		"Lo más reciente primero. Satchel escribe este archivo cuando cambia el material de tus cursos."},
	kTeacher: {
		"From your teacher: {message}",
		"De tu docente: {message}"},
	kAnd:  {"{a} and {b}", "{a} y {b}"},
	kMore: {"{a} and {n} more", "{a} y {n} más"},
}
