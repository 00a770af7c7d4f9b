"""Entry pages (PRT-04, PRT-05, PRT-07): a header, body lines edited in place, one form, with and without a script.

    class FilingForm(EntryForm):
        data_center_no = SystemField(label=_("数据中心统一编码"))
        transport_mode = CodeField(ChoicesSource(TransportMode), label=_("运输方式"), help_text=_("空格键调出列表"))
        bind_key_type = CodeField(ChoicesSource(BindKeyType), label=_("绑定介质类型"))
        bind_key_info = forms.CharField(label=_("绑定介质关键信息"), max_length=64)
        rules = [Rule("bind_key_info", grey_when={"bind_key_type": {""}})]

    class LineForm(EntryForm):
        vessel_name = forms.CharField(label=_("船名"), required=False)
        rules = [Rule("vessel_name", required_when={"header.transport_mode": {"2"}}, grey_when={"header.transport_mode": {"4", "5"}})]

    class NewFiling(WorkPageMixin, EntryPage):
        title, right, form_class, line_form_class = _("新增"), Right.SMARTGATE_EDIT, FilingForm, LineForm

        def save(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
            return redirect(services.save_filing(actor=self.request.user, header=header, lines=lines))

What the parts are: `fields` (CodeField, NumberField, SystemField), `rules` (Rule: required and grey by condition), `form`
(EntryForm), `lines` (the body between two requests), `page` (EntryPage: hooks, actions, summary of errors).
Import from those modules; this one only tells how they go together.
"""
