# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of vmsnapctl for bash. What there is to complete, vmsnapctl tells:
# its commands and options by itself, names of VMs and snapshots from the daemon.

_vmsnapctl()
{
	local current=${COMP_WORDS[COMP_CWORD]} word
	local -a words=() candidates

	# The words as the command would see them: without quotes and backslashes.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		*[\$\`]*) words+=("$word") ;;
		*) eval "words+=($word)" 2>/dev/null || words+=("$word") ;;
		esac
	done
	current=${current#[\"\']}
	current=${current//\\/}
	words+=("$current")

	COMPREPLY=()
	mapfile -t candidates < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)
	if [[ ${candidates[0]-} == :file ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
	fi
	for word in "${candidates[@]}"; do
		if [[ ${COMP_WORDS[COMP_CWORD]} == [\"\']* ]]; then
			COMPREPLY+=("$word")
		else
			printf -v word %q "$word"
			COMPREPLY+=("$word")
		fi
	done
}

complete -F _vmsnapctl vmsnapctl
