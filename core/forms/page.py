"""The entry page itself: header, body lines, buttons, errors; what happens to them is the application's business."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from core import shell
from core.forms.cautions import Caution
from core.forms.form import EntryForm
from core.forms.lines import EDITOR, Lines, raw_texts, small_number
from core.forms.signing import ASK, TEXT_ID, NotDeclared, SigningRequest

#: Key under which a hook's ValidationError names a field of a line: `lines.<index from 0>.<field>`.
LINE_KEY = "lines."


def replaced(data: Any, values: Mapping[str, Any]) -> Any:
    """What was sent, with some values put in place of what came."""
    if not values:
        return data
    copy = data.copy()
    for name, value in values.items():
        copy[name] = str(value)
    return copy


@dataclass(frozen=True, slots=True)
class Button:
    """One button on top of the page: `action` submits the form, `url` leads elsewhere; neither of them when it is not enabled.

    With a `question` it asks first, in place and without a script, and `answer` posts to `url`.
    """

    label: str | Promise
    icon: str
    action: str = ""
    url: str = ""
    enabled: bool = True
    #: The link starts anew: what was typed on this page is forgotten (after a question).
    discards: bool = False
    question: str = ""
    answer: str | Promise = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the summary of errors: where it is, what is wrong, and the id of what to go to."""

    where: str
    message: str
    target: str


class EntryPage(TemplateView):
    """Base of every entry page; see the example in `core.forms`. Combine it with `core.views.WorkPageMixin`."""

    template_name = "core/forms/entry_page.html"
    form_class: type[EntryForm]
    line_form_class: type[EntryForm] | None = None
    header_title: str | Promise = gettext_lazy("表头信息")
    lines_title: str | Promise = gettext_lazy("表体信息")
    #: More lines than this are not taken; it bounds what one request can ask of the server.
    max_lines = 200
    #: A filing with fewer lines can be saved, but not declared.
    min_lines_to_declare = 1
    #: Everything grey, nothing can be sent: 查看.
    readonly = False
    can_save = True
    can_declare = True
    declare_question: str | Promise = gettext_lazy("是否要申报该票单据？")

    # -- What an application gives ----------------------------------------------------------------

    def initial(self) -> Mapping[str, Any]:
        """Values of the header, those of the system's fields among them."""
        return {}

    def initial_lines(self) -> Iterable[Mapping[str, Any]]:
        """The stored lines, in order."""
        return ()

    def initial_line(self) -> Mapping[str, Any]:
        """What a new line starts with."""
        return {}

    def refuse_post(self, action: str) -> HttpResponse | None:
        """Asked before anything else of every POST: an answer for an `action` that cannot be now, else None."""
        return None

    def save(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        """暂存: store and answer with a redirect. A ValidationError shows on the page; a key may be a field of the header,
        or `lines.<index>.<field>`."""
        raise NotImplementedError

    def declare(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        """申报, after the question was answered: like `save`. NotDeclared leaves the question open, with the reason in it."""
        raise NotImplementedError

    def store_to_sign(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse | None:
        """申报, where a signature is wanted, before the question: store like `save`, and lead to the record's page with `?declare`
        (ASK), which asks with what `signing` gives. None where no signature is wanted: then this page asks."""
        return None

    def cautions(self, entered: tuple[dict[str, Any], list[dict[str, Any]]] | None) -> Sequence[Caution]:
        """What to tell before 申报 without refusing it: of the values that are about to be declared, or (None) of the stored record."""
        return ()

    def signing(self) -> SigningRequest | None:
        """What is to be signed to declare the stored record; None where no signature is wanted."""
        return None

    def renewed(self) -> Mapping[str, Any]:
        """Hidden fields to put anew into a page that a service refused (the version of the record that it shows)."""
        return {}

    def new_url(self) -> str:
        """Where 新增 leads; empty for no such button."""
        return ""

    def copy_url(self) -> str:
        """Where 复制 leads; empty while there is nothing stored to copy."""
        return ""

    def buttons(self) -> Sequence[Button]:
        """The blue buttons on top, in the order of the manual (M4 §3.1.2)."""
        return [
            Button(_("新增"), "square-plus", url=self.new_url(), enabled=bool(self.new_url()), discards=True),
            Button(_("暂存"), "device-floppy", action="save", enabled=self.can_save and not self.readonly),
            Button(_("复制"), "copy", url=self.copy_url(), enabled=bool(self.copy_url())),
            Button(_("申报"), "send", action="declare", enabled=self.can_declare and not self.readonly),
        ]

    # -- The request ------------------------------------------------------------------------------

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        first = "" if self.readonly else next(name for name, field in self.form_class.base_fields.items() if not field.disabled)
        signing = self.signing() if self._is_asking() else None
        # The strip of opened pages leads to the record, and not to the question about it.
        if signing is not None:
            self.keeps_query = False
        header = self.form_class(initial=self.initial(), readonly=self.readonly, focus_on="" if signing else first)
        question = str(self.declare_question) if signing else ""
        cautions = () if self.readonly else self.cautions(None)
        return self._page(header, self._stored_lines(header), question=question, signing=signing, cautions=cautions)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Every button of the page. `action` is one of: enter (the Enter key without a script), line_save, line_new,
        line_discard, line_delete, line_edit:<index>, restore (a kept draft), save, declare, declare_confirmed."""
        if self.readonly:
            return HttpResponseNotAllowed(["GET"])
        action, _colon, argument = request.POST.get("action", "enter").partition(":")
        refusal = self.refuse_post(action)
        if refusal is not None:
            return refusal
        header = self.form_class(request.POST, initial=self.initial())
        lines = self._sent_lines(header)
        if lines and lines.problem:
            return self._refuse_list(action, header, lines)
        if action in ("save", "declare", "declare_confirmed"):
            return self._submit(action, header, lines)
        notice = self._edit_lines(action, argument, lines) if lines else ""
        problems = list(self._editor_problems(lines)) if lines else []
        return self._page(self._as_typed(header), lines, problems=problems, notice=notice, is_sent=True, focus_summary=False)

    # -- Steps ------------------------------------------------------------------------------------

    def _refuse_list(self, action: str, header: EntryForm, lines: Lines) -> HttpResponse:
        """Show a list that nothing may be done with; lines can be deleted from one that is too long."""
        notice = self._edit_lines(action, "", lines) if action == "line_delete" and lines.is_whole else ""
        problems = [Problem("", lines.problem, "entry-lines")] if lines.problem else []
        return self._page(self._as_typed(header), lines, problems=problems, notice=notice, is_sent=True)

    def _edit_lines(self, action: str, argument: str, lines: Lines) -> str:
        """Carry out one button of the body; gives a notice for the user, or ""."""
        saves = action == "line_save" or (action in ("enter", "line_new", "line_edit") and lines.is_touched)
        if saves and not lines.save_editor():
            return ""
        if action in ("line_new", "line_discard"):
            lines.clear_editor()
        elif action == "line_edit" and (index := small_number(argument)) is not None:
            lines.edit(index)
        elif action == "line_delete":
            ticked = {number for text in self.request.POST.getlist("tick") if (number := small_number(text)) is not None}
            if not ticked:
                return _("请先在列表中勾选要删除的行。")
            lines.delete(ticked)
        return ""

    def _submit(self, action: str, header: EntryForm, lines: Lines | None) -> HttpResponse:
        """Check everything; save, ask, or declare; or show what is wrong with everything that was typed still there."""
        rows: list[dict[str, Any]] = []
        is_right = header.is_valid()
        if lines:
            editor_is_right = not lines.is_touched or lines.save_editor()
            rows = lines.clean()
            is_right = is_right and editor_is_right and not lines.errors
            if action != "save" and len(lines.rows) < self.min_lines_to_declare:
                header.add_error(None, _("至少要有 %(count)d 条表体信息才能申报。") % {"count": self.min_lines_to_declare})
                is_right = False
        if is_right:
            do = {"save": self.save, "declare": self.store_to_sign, "declare_confirmed": self.declare}[action]
            try:
                response = do(header.cleaned_data, rows)
            except ValidationError as error:
                self._take_over(error, header, lines)
                header.data = replaced(header.data, self.renewed())
            except NotDeclared as refusal:
                # What was typed is stored: the browser need not keep it, and the page shows what it would show by itself.
                shell.draft_saved(self.request, self.request.path)
                header.data = replaced(header.data, self.renewed())
                question, cautions = str(self.declare_question), self.cautions(None)
                return self._page(header, lines, question=question, signing=self.signing(), cautions=cautions, refusal=str(refusal))
            else:
                if response is None:
                    cautions = self.cautions((header.cleaned_data, rows))
                    return self._page(header, lines, is_sent=True, question=str(self.declare_question), cautions=cautions)
                shell.draft_saved(self.request, self.request.path)
                return response
        return self._page(header, lines, problems=self._problems(header, lines), is_sent=True)

    def _take_over(self, error: ValidationError, header: EntryForm, lines: Lines | None) -> None:
        """Show what a service refused where it belongs."""
        by_key = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
        for key, errors in by_key.items():
            if key in header.fields:
                header.add_error(key, ValidationError(errors))
            elif lines and key.startswith(LINE_KEY):
                index, _dot, field = key.removeprefix(LINE_KEY).partition(".")
                lines.refuse(int(index), field, errors)
            else:
                header.add_error(None, ValidationError(errors))

    # -- Pieces of the page -----------------------------------------------------------------------

    def _is_asking(self) -> bool:
        """Whether the address asks for the question of 申报."""
        return ASK in self.request.GET and self.can_declare and not self.readonly

    def _stored_lines(self, header: EntryForm) -> Lines | None:
        if self.line_form_class is None:
            return None
        names = self.line_form_class.base_fields
        rows = [
            {name: "" if line.get(name) is None else str(field.prepare_value(line[name])) for name, field in names.items()}
            for line in self.initial_lines()
        ]
        return Lines(self.line_form_class, header, rows, self.initial_line(), self._line_limit(len(rows)))

    def _sent_lines(self, header: EntryForm) -> Lines | None:
        if self.line_form_class is None:
            return None
        limit = self._line_limit(len(list(self.initial_lines())))
        return Lines.from_post(self.line_form_class, header, self.request.POST, self.initial_line(), limit)

    def _line_limit(self, stored: int) -> int:
        """What is stored can be changed and saved again, even if it has more lines than the page would take today."""
        return max(self.max_lines, stored)

    def _as_typed(self, header: EntryForm) -> EntryForm:
        """The header as it was typed, unchecked: a step of the body is not the time to speak of it."""
        return self.form_class(initial={**raw_texts(header.fields, self.request.POST), **self._system_values(header)})

    def _system_values(self, header: EntryForm) -> dict[str, Any]:
        initial = self.initial()
        return {name: initial[name] for name, field in header.fields.items() if field.disabled and name in initial}

    def _problems(self, header: EntryForm, lines: Lines | None) -> list[Problem]:
        """The summary: the page as a whole, the header's fields in their order, then the lines."""
        found = [Problem("", str(message), "entry-form") for message in header.non_field_errors()]
        for bound in header:
            target = bound.id_for_label if not bound.is_hidden else "entry-form"
            found += [Problem(str(bound.label), str(message), target) for message in bound.errors]
        return found + (list(self._editor_problems(lines)) + list(self._line_problems(lines)) if lines else [])

    def _editor_problems(self, lines: Lines) -> Iterable[Problem]:
        number = (len(lines.rows) if lines.index is None else lines.index) + 1
        return self._problems_of_line(number, lines.editor, in_editor=True)

    def _line_problems(self, lines: Lines) -> Iterable[Problem]:
        for index, form in lines.errors.items():
            if index != lines.index:
                yield from self._problems_of_line(index + 1, form, in_editor=False)

    def _problems_of_line(self, number: int, form: EntryForm, *, in_editor: bool) -> Iterable[Problem]:
        line = _("表体第%(number)d行") % {"number": number}
        if not form.is_bound:
            return
        for message in form.non_field_errors():
            yield Problem(line, str(message), "line-editor" if in_editor else f"line-{number}")
        for bound in form:
            for message in bound.errors:
                yield Problem(f"{line} {bound.label}", str(message), bound.id_for_label if in_editor else f"line-{number}")

    def _page(
        self,
        header: EntryForm,
        lines: Lines | None,
        *,
        problems: Sequence[Problem] = (),
        notice: str = "",
        question: str = "",
        signing: SigningRequest | None = None,
        cautions: Sequence[Caution] = (),
        refusal: str = "",
        is_sent: bool = False,
        focus_summary: bool = True,
    ) -> HttpResponse:
        context = self.get_context_data(
            form=header,
            lines=lines,
            editor_prefix=EDITOR,
            problems=problems,
            notice=notice,
            question=question,
            signing=signing,
            cautions=cautions,
            sign_text_id=TEXT_ID,
            refusal=refusal,
            is_sent=is_sent,
            focus_summary=focus_summary,
            readonly=self.readonly,
            buttons=self.buttons(),
            header_title=self.header_title,
            lines_title=self.lines_title,
            **self.kwargs,
        )
        return self.render_to_response(context, status=HTTPStatus.OK)
